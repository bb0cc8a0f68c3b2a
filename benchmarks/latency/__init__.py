"""What a model costs on this machine: time, memory, size."""
