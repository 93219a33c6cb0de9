"""The board an operator opens every morning: pages over what the hub's time series and the register say."""
