"""The response of a calorimeter: expected counts in bins of measured energy. Energies in GeV."""

import tensorflow as tf

THRESHOLD, TURN_ON = 30.0, 4.0  # GeV, of the trigger
RESOLUTION = 0.8  # sigma = RESOLUTION sqrt(energy), in sqrt(GeV)


def smear(parameters, inputs, *, edges):
    """Counts in bins of measured energy (bin,), of events with true energies (event,)."""
    energy = inputs["energy"]
    bend = 1.0 + (energy / parameters["saturation"]) ** 2
    measured = (parameters["scale"] * energy / tf.sqrt(bend))[:, None]
    accepted = tf.sigmoid((measured - THRESHOLD) / TURN_ON)
    z = (tf.constant(edges, energy.dtype)[None, :] - measured) / (RESOLUTION * tf.sqrt(measured))
    below = 0.5 * tf.math.erfc(-z / 2.0**0.5)
    return {"content": tf.reduce_sum(accepted * (below[:, 1:] - below[:, :-1]), axis=0)}
