"""Load balancers, where moto has them otherwise than AWS, and what others are told of them."""
