"""Networks that judge: they measure pictures and latents, and draw nothing."""
