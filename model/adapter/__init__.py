"""All that size adds to a base: encoder, controller, injection."""
