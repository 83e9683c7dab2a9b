"""What is done with a found network outside of the search.

So far nothing.
"""
