"""What can be trained, a file each: what a batch holds, what is built, shown and scored."""

from gan_jax.tasks.base import Dataset, Task, initial_states

__all__ = ["Dataset", "Task", "initial_states"]
