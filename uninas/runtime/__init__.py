"""What the packages need of the machine: files, devices, processes, a local Ray."""
