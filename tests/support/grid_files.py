"""Texts of grid files."""

BASIS = 'model = "alexnet"\ndataset = "digits"\n'
