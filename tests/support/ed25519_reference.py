"""Ed25519 in plain integers after RFC 8032 §5.1, with the chain's strict rule: the oracle for verdicts.

Written from the group law, not from the rule's list of encodings: a point has small order when eight times it
is the neutral point, an encoding is canonical when encoding the decoded point gives it back. Slow, and not in
constant time.
"""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P

Point = tuple[int, int]
NEUTRAL: Point = (0, 1)


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2 % P
    inverse = pow((1 + product) * (1 - product), -1, P)
    x = (x1 * y2 + x2 * y1) * (1 - product) * inverse % P
    y = (y1 * y2 + x1 * x2) * (1 + product) * inverse % P
    return x, y


def multiply(scalar: int, point: Point) -> Point:
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode_point(point: Point) -> bytes:
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode_point(encoding: bytes) -> Point | None:
    """The point, from canonical and non-canonical encodings alike; None where y is on no point."""
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, (number & (1 << 255) - 1) % P
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if x * x % P != x_squared:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != x_squared:
        return None
    return (x if x & 1 == sign else -x % P), y


BASE = decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


def public_key(seed: bytes) -> bytes:
    return encode_point(multiply(_secret(seed)[0], BASE))


def sign(seed: bytes, message: bytes) -> bytes:
    scalar, prefix = _secret(seed)
    nonce = _number(hashlib.sha512(prefix + message).digest()) % L
    r = encode_point(multiply(nonce, BASE))
    return r + ((nonce + _challenge(r, public_key(seed), message) * scalar) % L).to_bytes(32, "little")


def accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    """Verdict of the strict rule: canonical A and R of large order, S < L, and S·B = R + H(R, A, m)·A."""
    a, r, s = strict_point(key), strict_point(signature[:32]), _number(signature[32:])
    if a is None or r is None or s >= L or len(signature) != 64:
        return False
    return multiply(s, BASE) == add(r, multiply(_challenge(signature[:32], key, message), a))


def strict_point(encoding: bytes) -> Point | None:
    point = decode_point(encoding) if len(encoding) == 32 else None
    if point is None or encode_point(point) != encoding or multiply(8, point) == NEUTRAL:
        return None
    return point


def small_order_points() -> list[Point]:
    """The eight points with 8·P = 0: multiples of a point that L throws into the torsion."""
    for y in range(2, 100):
        point = decode_point(y.to_bytes(32, "little"))
        torsion = NEUTRAL if point is None else multiply(L, point)
        points = [multiply(scalar, torsion) for scalar in range(8)]
        if len(set(points)) == 8:
            return points
    raise AssertionError("no point of order 8 found")


def _secret(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    return _number(digest[:32]) & (1 << 254) - 8 | 1 << 254, digest[32:]


def _challenge(r: bytes, key: bytes, message: bytes) -> int:
    return _number(hashlib.sha512(r + key + message).digest()) % L


def _number(raw: bytes) -> int:
    return int.from_bytes(raw, "little")
