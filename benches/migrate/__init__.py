"""What converters make of the same Ingresses: requests, and the model of ingress-nginx that says what is right."""
