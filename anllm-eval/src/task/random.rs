//! Python's pseudo-random numbers, as far as drawing demonstrations needs them: the Mersenne Twister (Matsumoto and
//! Nishimura 1998) seeded by an integer, and `random.sample`. Published few-shot results depend on these very draws.

const N: usize = 624;
const M: usize = 397;

/// `random.Random(seed)`.
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: Vec<u32>,
    index: usize,
}

impl PythonRandom {
    /// Seeded as `random.Random(seed)` is.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        let key = if high == 0 { vec![low] } else { vec![low, high] };
        let mut random = Self { state: vec![0; N], index: N };
        random.seed(19_650_218);
        let (mut i, mut j) = (1, 0);
        for _ in 0..N.max(key.len()) {
            random.stir(i, 1_664_525, |mixed| mixed.wrapping_add(key[j]).wrapping_add(j as u32));
            i = random.after(i);
            j = (j + 1) % key.len();
        }
        for _ in 0..N - 1 {
            random.stir(i, 1_566_083_941, |mixed| mixed.wrapping_sub(i as u32));
            i = random.after(i);
        }
        random.state[0] = 0x8000_0000;
        random
    }

    fn seed(&mut self, seed: u32) {
        self.state[0] = seed;
        for i in 1..N {
            let before = self.state[i - 1];
            self.state[i] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
    }

    fn stir(&mut self, i: usize, factor: u32, then: impl Fn(u32) -> u32) {
        let before = self.state[i - 1];
        self.state[i] = then(self.state[i] ^ (before ^ (before >> 30)).wrapping_mul(factor));
    }

    /// The place after `i`; the first one is only ever a copy of the last.
    fn after(&mut self, i: usize) -> usize {
        if i + 1 < N {
            return i + 1;
        }
        self.state[0] = self.state[N - 1];
        1
    }

    fn next(&mut self) -> u32 {
        if self.index == N {
            for i in 0..N {
                let joined = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
                let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[i] = self.state[(i + M) % N] ^ (joined >> 1) ^ odd;
            }
            self.index = 0;
        }
        let mut y = self.state[self.index];
        self.index += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// A number below `n`, which is at least 1 (`random.randrange(n)`).
    pub fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            let drawn = (self.next() >> (32 - bits.clamp(1, 32))) as usize;
            if drawn < n {
                return drawn;
            }
        }
    }

    /// `random.sample(range(n), k)`; `None` where `k > n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        let mut set_size = 21;
        if k > 5 {
            set_size += 4usize.pow(((k * 3) as f64).log(4.0).ceil() as u32);
        }
        let mut drawn = Vec::with_capacity(k);
        if n <= set_size {
            let mut pool: Vec<usize> = (0..n).collect();
            for i in 0..k {
                let j = self.below(n - i);
                drawn.push(pool[j]);
                pool[j] = pool[n - i - 1];
            }
        } else {
            while drawn.len() < k {
                let j = self.below(n);
                if !drawn.contains(&j) {
                    drawn.push(j);
                }
            }
        }
        Some(drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of how many, and which.
    type Draw = (usize, &'static [usize]);

    /// What CPython 3.11 prints for `r = random.Random(seed); [r.sample(range(n), k) for n, k in …]`.
    #[test]
    fn draws_are_pythons() {
        let expected: [(u64, [Draw; 7]); 3] = [
            (
                1234,
                [
                    (4957, &[3610, 957, 61, 742, 4769]),
                    (10, &[0, 1, 8, 6, 2]),
                    (21, &[7, 0, 19]),
                    (1000, &[807, 16, 354, 663, 638, 495]),
                    (80, &[78, 59, 19, 11, 23, 14, 1, 64, 62, 31, 8, 79, 69, 76, 65, 5, 34, 52, 35, 4]),
                    (1, &[0]),
                    (2251, &[1970, 1455, 1091, 1020, 819]),
                ],
            ),
            (
                0,
                [
                    (4957, &[3155, 3445, 331, 2121, 4188]),
                    (10, &[7, 6, 4, 3, 2]),
                    (21, &[18, 6, 16]),
                    (1000, &[142, 288, 143, 773, 97, 633]),
                    (80, &[32, 68, 77, 18, 39, 12, 9, 42, 60, 74, 45, 55, 40, 26, 61, 56, 33, 3, 51, 58]),
                    (1, &[0]),
                    (2251, &[382, 1633, 4, 2021, 1364]),
                ],
            ),
            (
                1099511627781,
                [
                    (4957, &[4131, 4234, 2200, 224, 4349]),
                    (10, &[0, 2, 1, 6, 7]),
                    (21, &[7, 4, 20]),
                    (1000, &[671, 829, 389, 751, 124, 802]),
                    (80, &[70, 29, 59, 7, 14, 54, 5, 42, 56, 36, 16, 12, 22, 43, 76, 28, 77, 65, 9, 50]),
                    (1, &[0]),
                    (2251, &[525, 1913, 411, 2115, 1198]),
                ],
            ),
        ];
        for (seed, draws) in expected {
            let mut random = PythonRandom::new(seed);
            for (n, drawn) in draws {
                assert_eq!(random.sample(n, drawn.len()).unwrap(), drawn, "{seed}: {n}");
            }
        }
        assert_eq!(PythonRandom::new(1).sample(3, 4), None);
    }
}
