"""IDM-VTON's architecture on stock diffusers classes."""
