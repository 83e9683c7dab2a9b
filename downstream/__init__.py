"""What is done with a found network outside of the search.

So far: the remedy that lets timm be imported beside a CPU build of torch.
"""
