"""How far a step with levers may differ from one without them, in the proof.

"Error" is the norm of the difference from the same step in the next wider type: float64 for fp32, fp32 for tf32 and
bf16. All numbers but ``FEW`` are factors of a norm.
"""

BOUNDS = {"fp32": 1e-5, "tf32": 1e-3, "bf16": 2**-8}
"""Each tensor may differ by so much of its own norm, or have up to twice torch's own error."""

OWN_ERRORS = {"fp32": 1e-2, "tf32": 0.1, "bf16": 0.3}
"""Up to here, torch's own error is a measure of rounding. A larger one is not: the precise step may have had other
random numbers, and in bf16, gradients of the first layers of a deep network are hardly more than rounding."""

MAX_OWN_ERRORS = OWN_ERRORS | {"bf16": 1.0}
"""Beyond this, the two steps cannot be compared. Between ``OWN_ERRORS`` and this, they are compared again in fp32."""

ROUGHLY = 1e-2
"""How far tensors that are hardly more than rounding in bf16 may differ when they are compared again in fp32."""

FEW = 16
"""Tensors with fewer numbers may have five times torch's error: by chance alone, the errors of two right steps may
differ by more than a factor of two."""

NOISE = 0.01
"""Rounding errors of a tensor that is zero are compared with this part of the norm of all gradients, or all buffers."""

ZERO = 0.1
"""A tensor counts as zero if its norm is no more than this part of torch's own error."""

STEP_BOUND = 1e-5
"""After two steps of the optimizer, a weight or a state may differ by so much of the norm of its change."""

ROUNDING = 2e-7
"""In addition, it may differ by so much of its own norm."""
