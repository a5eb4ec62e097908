"""Speed and memory on this machine, against other formulations."""
