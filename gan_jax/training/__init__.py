"""Training: the plan of a run, the program on the devices, the trainer and its hooks."""
