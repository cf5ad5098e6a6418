"""What moto lacks of load balancers, and what others are told of them."""
