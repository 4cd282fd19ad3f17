"""How far two areas are apart."""


def compare(parameters, inputs):
    ratio = inputs["left"] / inputs["right"] - parameters["ratio"]
    return {"distance": ratio**2 + parameters["rate"]}
