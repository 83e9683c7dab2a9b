"""Name groups of operations by their structure: MBConv, attention, squeeze-and-excitation, gates."""
