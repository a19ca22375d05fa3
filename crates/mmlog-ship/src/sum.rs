//! One function for sums and proofs: a polynomial over bytes, modulo 2^61 - 1.
//!
//! Of two pieces it can be computed from theirs ([`join`]), wherever the cut is. So a proof of what is at the sink can be taken up at
//! any position, by whoever has the bytes from there on, and units may be cut anew. It finds accidents, no forger.

/// The modulus: a Mersenne prime.
const MODULUS: u64 = (1 << 61) - 1;
/// The base of the polynomial; anything large will do, and it is part of the format.
const BASE: u64 = 1_442_695_040_888_963_407;

const fn times(a: u64, b: u64) -> u64 {
    folded(a as u128 * b as u128)
}

/// What is left by the modulus of a number that has little more than 122 bits.
const fn folded(number: u128) -> u64 {
    let folded = (number & MODULUS as u128) as u64 + (number >> 61) as u64;
    // Twice the modulus and a little, at most.
    let folded = if folded >= MODULUS { folded - MODULUS } else { folded };
    if folded >= MODULUS { folded - MODULUS } else { folded }
}

fn plus(a: u64, b: u64) -> u64 {
    // Both are below the modulus, so this does not overflow.
    (a + b) % MODULUS
}

/// How many bytes are taken at a time.
const STEP: usize = 16;
/// Powers of the base, the highest first, down to that of the last byte of a step.
const POWERS: [u64; STEP] = powers();
/// What a sum is multiplied by for a whole step.
const WHOLE: u64 = times(POWERS[0], BASE);

const fn powers() -> [u64; STEP] {
    let mut powers = [1; STEP];
    let mut at = STEP - 1;
    while at > 0 {
        powers[at - 1] = times(powers[at], BASE);
        at -= 1;
    }
    powers
}

/// The sum of what `sum` is of, with `bytes` behind it. Of nothing it is 0.
pub fn extend(sum: u64, bytes: &[u8]) -> u64 {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let mut sum = sum % MODULUS;
    for step in steps {
        // The products do not wait for one another; sixteen of 70 bits fit.
        let products =
            step.iter().zip(POWERS).map(|(byte, power)| (u128::from(*byte) + 1) * u128::from(power));
        let all = products.sum::<u128>() + u128::from(sum) * u128::from(WHOLE);
        sum = folded(all);
    }
    // A byte counts one more than it is: NULs have lengths, too.
    rest.iter().fold(sum, |sum, byte| plus(times(sum, BASE), u64::from(*byte) + 1))
}

/// What a sum grows by where `length` bytes come behind it.
fn moved(sum: u64, mut length: u64) -> u64 {
    let (mut power, mut square) = (1, BASE);
    while length > 0 {
        if length & 1 == 1 {
            power = times(power, square);
        }
        square = times(square, square);
        length >>= 1;
    }
    times(sum % MODULUS, power)
}

/// The sum of two pieces: of the first, of the second, and how long that is.
pub fn join(first: u64, second: u64, length: u64) -> u64 {
    plus(moved(first, length), second % MODULUS)
}

/// The sum of the second piece: of both, of the first, and how long the second is.
pub fn without(both: u64, first: u64, length: u64) -> u64 {
    plus(both % MODULUS, MODULUS - moved(first, length))
}
