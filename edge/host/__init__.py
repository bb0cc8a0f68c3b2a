"""The machine below: processor, memory, processes, timing, and libraries that chatter."""
