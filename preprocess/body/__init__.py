"""The person: joints, body parts, and the mask that is made of them."""
