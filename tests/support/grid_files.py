"""Texts of grid files."""

BASIS = 'model = "alexnet"\ndataset = "digits"\n'

RATES = """
model = "alexnet"
dataset = "squares"
epochs = 3
batch_size = 12
seeds = [0, 1, 2]
optimizer = { name = "sgd", lr = { grid = [0.001, 0.005] } }
"""
"""Six trials that never ran: made records have these values."""
