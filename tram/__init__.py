"""Trạm: provision, harden and watch a province's servers over links that are allowed to fail."""
