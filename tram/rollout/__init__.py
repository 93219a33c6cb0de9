"""Waves over the province: order, forecast, gates."""
