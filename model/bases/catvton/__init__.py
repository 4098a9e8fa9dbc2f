"""CatVTON's method on stock diffusers classes: one UNet for inpainting, person above garment."""
