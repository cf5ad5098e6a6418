"""EC2's networks, where moto has them otherwise than AWS."""
