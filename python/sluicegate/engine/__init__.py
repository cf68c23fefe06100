"""The native engine: the one door to it (`native`), its limits, checks of certificates, and what it is sent."""
