"""Write a network as one readable file of plain torch, with weights under its own names."""
