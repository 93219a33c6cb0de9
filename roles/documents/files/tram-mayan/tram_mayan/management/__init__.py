"""Commands of the province in Mayan."""
