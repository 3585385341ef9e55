"""Image files through a trained network: reading them, tiling them, writing what comes out.

- `files` reads images of any kind as they are seen, finds them, names and writes their results.
- `png16` is what Pillow lacks of PNG: several channels of 16 bits.
- `tiles` applies a function to an image of any size.
"""
