"""An agency's document practice inside Mayan: numbers, deadlines, letters in and out, the flow's picture, counters."""
