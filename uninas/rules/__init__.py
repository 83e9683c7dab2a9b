"""What each operation makes of its inputs, what that costs, and where it means nothing: the rules that the table refers to."""
