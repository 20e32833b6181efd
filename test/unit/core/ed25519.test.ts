import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { concatBytes, textToBytes } from '../../../src/core/bytes.ts'
import {
  ed25519AddScalar,
  ed25519CreateKeypair,
  ed25519CreateSeed,
  ed25519KeyExchange,
  ed25519Sign,
  ed25519Verify,
} from '../../../src/core/ed25519.ts'
import { randomBytes, SeededRng } from '../../../src/core/rng.ts'

const rng = new SeededRng(9)
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'))
const hex = (b: Uint8Array) => Buffer.from(b).toString('hex')

/** Seed, public key, signature, message: of libgcrypt's t-ed25519.inp, tests 2 to 4, 47 to 53, 224 and 225. */
const VECTORS: readonly [string, string, string, string][] = [
  [
    '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb',
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c' +
      '387b2eaeb4302aeeb00d291612bb0c00',
    '72',
  ],
  [
    'c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7',
    'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025',
    '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659' +
      '4a7c15e9716ed28dc027beceea1ec40a',
    'af82',
  ],
  [
    '0d4a05b07352a5436e180356da0ae6efa0345ff7fb1572575772e8005ed978e9',
    'e61a185bcef2613a6c7cb79763ce945d3b245d76114dd440bcf5f2dc1aa57057',
    'd9868d52c2bebce5f3fa5a79891970f309cb6591e3e1702a70276fa97c24b3a8e58606c38c9758529da50ee31b8219cb' +
      'a45271c689afa60b0ea26c99db19b00c',
    'cbc77b',
  ],
  [
    '89f0d68299ba0a5a83f248ae0c169f8e3849a9b47bd4549884305c9912b46603',
    'aba3e795aab2012acceadd7b3bd9daeeed6ff5258bdcd7c93699c2a3836e3832',
    '2c691fa8d487ce20d5d2fa41559116e0bbf4397cf5240e152556183541d66cf753582401a4388d390339dbef4d384743' +
      'caa346f55f8daba68ba7b9131a8a6e0b',
    '4f1846dd7ad50e545d4cfbffbb1dc2ff145dc123754d08af4e44ecc0bc8c91411388bc7653e2d893d1eac2107d05',
  ],
  [
    '0a3c1844e2db070fb24e3c95cb1cc6714ef84e2ccd2b9dd2f1460ebf7ecf13b1',
    '72e409937e0610eb5c20b326dc6ea1bbbc0406701c5cd67d1fbde09192b07c01',
    '87f7fdf46095201e877a588fe3e5aaf476bd63138d8a878b89d6ac60631b3458b9d41a3c61a588e1db8d29a5968981b0' +
      '18776c588780922f5aa732ba6379dd05',
    '4c8274d0ed1f74e2c86c08d955bde55b2d54327e82062a1f71f70d536fdc8722cdead7d22aaead2bfaa1ad00b82957',
  ],
  [
    'c8d7a8818b98dfdb20839c871cb5c48e9e9470ca3ad35ba2613a5d3199c8ab23',
    '90d2efbba4d43e6b2b992ca16083dbcfa2b322383907b0ee75f3e95845d3c47f',
    'fa2e994421aef1d5856674813d05cbd2cf84ef5eb424af6ecd0dc6fdbdc2fe605fe985883312ecf34f59bfb2f1c9149e' +
      '5b9cc9ecda05b2731130f3ed28ddae0b',
    '783e33c3acbdbb36e819f544a7781d83fc283d3309f5d3d12c8dcd6b0b3d0e89e38cfd3b4d0885661ca547fb9764abff',
  ],
  [
    'b482703612d0c586f76cfcb21cfd2103c957251504a8c0ac4c86c9c6f3e429ff',
    'fd711dc7dd3b1dfb9df9704be3e6b26f587fe7dd7ba456a91ba43fe51aec09ad',
    '58832bdeb26feafc31b46277cf3fb5d7a17dfb7ccd9b1f58ecbe6feb979666828f239ba4d75219260ecac0acf40f0e5e' +
      '2590f4caa16bbbcd8a155d347967a607',
    '29d77acfd99c7a0070a88feb6247a2bce9984fe3e6fbf19d4045042a21ab26cbd771e184a9a75f316b648c6920db92b8' + '7b',
  ],
  [
    '84e50dd9a0f197e3893c38dbd91fafc344c1776d3a400e2f0f0ee7aa829eb8a2',
    '2c50f870ee48b36b0ac2f8a5f336fb090b113050dbcc25e078200a6e16153eea',
    '69e6a4491a63837316e86a5f4ba7cd0d731ecc58f1d0a264c67c89befdd8d3829d8de13b33cc0bf513931715c7809657' +
      'e2bfb960e5c764c971d733746093e500',
    'f3992cde6493e671f1e129ddca8038b0abdb77bb9035f9f8be54bd5d68c1aeff724ff47d29344391dc536166b8671cbb' + 'f123',
  ],
  [
    'b322d46577a2a991a4d1698287832a39c487ef776b4bff037a05c7f1812bdeec',
    'eb2bcadfd3eec2986baff32b98e7c4dbf03ff95d8ad5ff9aa9506e5472ff845f',
    'c7b55137317ca21e33489ff6a9bfab97c855dc6f85684a70a9125a261b56d5e6f149c5774d734f2d8debfc77b721896a' +
      '8267c23768e9badb910eef83ec258802',
    '19f1bf5dcf1750c611f1c4a2865200504d82298edd72671f62a7b1471ac3d4a30f7de9e5da4108c52a4ce70a3e114a52' + 'a3b3c5',
  ],
  [
    '960cab5034b9838d098d2dcbf4364bec16d388f6376d73a6273b70f82bbc98c0',
    '5e3c19f2415acf729f829a4ebd5c40e1a6bc9fbca95703a9376087ed0937e51a',
    '27d4c3a1811ef9d4360b3bdd133c2ccc30d02c2f248215776cb07ee4177f9b13fc42dd70a6c2fed8f225c7663c7f182e' +
      '7ee8eccff20dc7b0e1d5834ec5b1ea01',
    'f8b21962447b0a8f2e4279de411bea128e0be44b6915e6cda88341a68a0d818357db938eac73e0af6d31206b3948f8c4' + '8a447308',
  ],
  [
    'ae1d2c6b171be24c2e413d364dcda97fa476aaf9123d3366b0be03a142fe6e7d',
    'd437f57542c681dd543487408ec7a44bd42a5fd545ce2f4c8297d67bb0b3aa7b',
    '909008f3fcfff43988aee1314b15b1822caaa8dab120bd452af494e08335b44a94c313c4b145eadd5166eaac034e29b7' +
      'e6ac7941d5961fc49d260e1c4820b00e',
    '9e6c2fc76e30f17cd8b498845da44f22d55bec150c6130b411c6339d14b39969ab1033be687569a991a06f70b2a8a693' +
      '1a777b0e4be6723cd75e5aa7532813ef50b3d37271640fa2fb287c0355257641ea935c851c0b6ac68be72c88dfc5856f' +
      'b53543fb377b0dbf64808afcc4274aa456855ad28f61267a419bc72166b9ca73cd3bb79bf7dd259baa75911440974b68' +
      'e8ba95a78cbbe1cb6ad807a33a1cce2f406ff7bcbd058b44a311b38ab4d4e61416c4a74d883d6a6a794abd9cf1c03902' +
      '8bf1b20e3d4990aae86f32bf06cd8349a7a884cce0165e36a0640e987b9d51',
  ],
  [
    '0265a7944baccfebf417b87ae1e6df2ff2a544ffb58225a08e092be03f026097',
    '63d327615ea0139be0740b618aff1acfa818d4b0c2cfeaf0da93cdd5245fb5a9',
    'b6c445b7eddca5935c61708d44ea5906bd19cc54224eae3c8e46ce99f5cbbd341f26623938f5fe04070b1b02e71fbb7c' +
      '78a90c0dda66cb143fab02e6a0bae306',
    '874ed712a2c41c26a2d9527c55233fde0a4ffb86af8e8a1dd0a820502c5a26932bf87ee0de72a8874ef2eebf83384d44' +
      '3f7a5f46a1233b4fb514a2469981824894f325bf86aa0fe1217153d40f3556c43a8ea9269444e149fb70e9415ae0766c' +
      '565d93d1d6368f9a23a0ad76f9a09dbf79634aa97178677734d04ef1a5b3f87ce1ee9fc5a9ac4e7a72c9d7d31ec89e28' +
      'a845d2e1103c15d6410ce3c723b0cc2209f698aa9fa288bbbecfd9e5f89cdcb09d3c215feb47a58b71ea70e2abead67f' +
      '1b08ea6f561fb93ef05232eedabfc1c7702ab039bc465cf57e207f1093fc8208',
  ],
]

describe('signatures', () => {
  test.each(VECTORS)('of seed %s', (seed, publicKey, signature, message) => {
    const [pk, sk] = ed25519CreateKeypair(bytes(seed))
    expect(hex(pk)).toBe(publicKey)
    expect(sk).toHaveLength(64)
    expect(hex(ed25519Sign(bytes(message), pk, sk))).toBe(signature)
    expect(ed25519Verify(bytes(signature), bytes(message), pk)).toBe(true)
  })

  test('are those of Node for the same seed', () => {
    for (let i = 0; i < 5; i++) {
      const seed = randomBytes(rng, 32)
      const message = randomBytes(rng, i * 40)
      const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
      const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
      const [pk, sk] = ed25519CreateKeypair(seed)
      expect(hex(pk)).toBe(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(12).toString('hex'))
      expect(hex(ed25519Sign(message, pk, sk))).toBe(sign(null, message, key).toString('hex'))
    }
  })

  test('are refused with anything changed', () => {
    const [pk, sk] = ed25519CreateKeypair(ed25519CreateSeed())
    const message = textToBytes('Hello world')
    const signature = ed25519Sign(message, pk, sk)
    expect(ed25519Verify(signature, message, pk)).toBe(true)
    const flip = (b: Uint8Array, bit: number) => {
      const out = b.slice()
      out[bit >> 3]! ^= 1 << (bit & 7)
      return out
    }
    for (let bit = 0; bit < 512; bit += 37) expect(ed25519Verify(flip(signature, bit), message, pk)).toBe(false)
    for (let bit = 0; bit < 88; bit += 11) expect(ed25519Verify(signature, flip(message, bit), pk)).toBe(false)
    for (let bit = 0; bit < 256; bit += 17) expect(ed25519Verify(signature, message, flip(pk, bit))).toBe(false)
  })

  test('have one form only', () => {
    const [pk, sk] = ed25519CreateKeypair(ed25519CreateSeed())
    const message = textToBytes('Hello world')
    const signature = ed25519Sign(message, pk, sk)
    // the same number plus the order of the curve
    let carry = 0
    const order = bytes('edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010')
    for (let i = 0; i < 32; i++) {
      carry += signature[32 + i]! + order[i]!
      signature[32 + i] = carry
      carry >>= 8
    }
    expect(ed25519Verify(signature, message, pk)).toBe(false)
  })

  test('that are no signatures are just refused, whatever they are', () => {
    const [pk] = ed25519CreateKeypair(ed25519CreateSeed())
    const message = textToBytes('x')
    for (const size of [0, 1, 32, 63, 65, 1000]) {
      expect(ed25519Verify(new Uint8Array(size), message, pk)).toBe(false)
      expect(ed25519Verify(new Uint8Array(64), message, randomBytes(rng, size === 32 ? 31 : size))).toBe(false)
    }
    for (let i = 0; i < 50; i++) {
      expect(ed25519Verify(randomBytes(rng, 64), message, randomBytes(rng, 32))).toBe(false)
      expect(ed25519Verify(new Uint8Array(64).fill(0xff), message, new Uint8Array(32).fill(0xff))).toBe(false)
    }
  })
})

describe('keys', () => {
  test('that are Buffers are left as they are', () => {
    const [pk, sk] = ed25519CreateKeypair(Buffer.alloc(32, 3))
    const secret = Buffer.from(sk)
    for (const text of ['one', 'two']) {
      const message = Buffer.from(text)
      expect(ed25519Verify(ed25519Sign(message, Buffer.from(pk), secret), message, pk)).toBe(true)
      expect(secret.equals(sk)).toBe(true)
    }
    const scalar = Buffer.alloc(32, 0xff)
    ed25519AddScalar(secret, scalar)
    ed25519AddScalar(Buffer.from(pk), scalar)
    expect(secret.equals(sk)).toBe(true)
    expect(scalar.equals(Buffer.alloc(32, 0xff))).toBe(true)
  })

  test('seeds differ', () => {
    const a = ed25519CreateSeed()
    const b = ed25519CreateSeed()
    expect([a.length, b.length]).toEqual([32, 32])
    expect(hex(a)).not.toBe(hex(b))
    expect(a.some(byte => byte !== 0)).toBe(true)
  })

  test('a number added to both keys of a pair gives a pair', () => {
    for (let i = 0; i < 4; i++) {
      const [pk, sk] = ed25519CreateKeypair(ed25519CreateSeed())
      const n = i === 0 ? new Uint8Array(32) : randomBytes(rng, 32)
      const pk2 = ed25519AddScalar(pk, n)
      const sk2 = ed25519AddScalar(sk, n)
      const message = textToBytes('Hello world')
      expect(ed25519Verify(ed25519Sign(message, pk2, sk2), message, pk2)).toBe(true)
      expect(ed25519Verify(ed25519Sign(message, pk, sk2), message, pk)).toBe(i === 0)
      expect(hex(pk2) === hex(pk)).toBe(i === 0)
      // the highest bit of the number does not count, but for what nonces are made of
      const n2 = n.slice()
      n2[31]! ^= 0x80
      expect(hex(ed25519AddScalar(pk, n2))).toBe(hex(pk2))
      expect(hex(ed25519AddScalar(sk, n2)).slice(0, 64)).toBe(hex(sk2).slice(0, 64))
      expect(hex(ed25519AddScalar(sk, n2)).slice(64)).not.toBe(hex(sk2).slice(64))
    }
  })

  test('both sides of an exchange get the same secret, a third one does not', () => {
    const [pkA, skA] = ed25519CreateKeypair(ed25519CreateSeed())
    const [pkB, skB] = ed25519CreateKeypair(ed25519CreateSeed())
    const [, skC] = ed25519CreateKeypair(ed25519CreateSeed())
    const secret = ed25519KeyExchange(pkA, skB)
    expect(secret).toHaveLength(32)
    expect(hex(ed25519KeyExchange(pkB, skA))).toBe(hex(secret))
    expect(hex(ed25519KeyExchange(pkA, skC))).not.toBe(hex(secret))
  })

  test('of wrong sizes are named', () => {
    const [pk, sk] = ed25519CreateKeypair(ed25519CreateSeed())
    const short = new Uint8Array(31)
    expect(() => ed25519CreateKeypair(short)).toThrow(/^ed25519CreateKeypair: expected a seed of 32 bytes, not 31$/)
    expect(() => ed25519Sign(short, short, sk)).toThrow(/publicKey of 32 bytes/)
    expect(() => ed25519Sign(short, pk, concatBytes([sk, short]))).toThrow(/secretKey of 64 bytes/)
    expect(() => ed25519AddScalar(pk, short)).toThrow(/scalar of 32 bytes/)
    expect(() => ed25519AddScalar(short, pk)).toThrow(/key of 32 bytes/)
    expect(() => ed25519KeyExchange(sk, sk)).toThrow(/publicKey of 32 bytes/)
    expect(() => ed25519KeyExchange(pk, pk)).toThrow(/secretKey of 64 bytes/)
  })

  test('of small order make no secret', () => {
    const [, sk] = ed25519CreateKeypair(ed25519CreateSeed())
    expect(() => ed25519KeyExchange(bytes(`01${'00'.repeat(31)}`), sk)).toThrow()
  })
})
