"""Ground floor, standard library only: errors, running programs, units, clock."""
