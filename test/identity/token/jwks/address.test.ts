import t from 'tap'
import { type Reach, reachOf } from '#identity/token/jwks/address.ts'

t.test('which addresses are a server of keys, by the registries', async (t) => {
  const rows: Readonly<Record<Reach, readonly string[]>> = {
    public: [
      '1.1.1.1',
      '9.255.255.255',
      '172.32.0.1',
      '100.128.0.1',
      '192.167.1.1',
      '223.255.255.255',
      '2606:4700::1111',
      '2a00::1',
      '::ffff:8.8.8.8',
    ],
    private: [
      ...['10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', '100.64.0.1', '100.127.255.255'],
      ...[
        '127.0.0.1',
        '127.255.255.255',
        '192.0.0.8',
        '192.0.2.1',
        '198.18.0.1',
        '198.51.100.1',
        '203.0.113.1',
      ],
      ...[
        '::1',
        'fc00::1',
        'fd12:3456::1',
        '2001::1',
        '2001:db8::1',
        '2002:7f00:1::',
        '64:ff9b::7f00:1',
        'fec0::1',
      ],
      ...['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:7f00:1', '::127.0.0.1'],
    ],
    forbidden: [
      ...[
        '0.0.0.0',
        '0.1.2.3',
        '169.254.169.254',
        '169.254.0.1',
        '168.63.129.16',
        '224.0.0.1',
        '240.0.0.1',
        '255.255.255.255',
      ],
      ...['::', 'fe80::1', 'febf::1', 'ff02::1', 'fd00:ec2::254', '::ffff:169.254.169.254', '::ffff:0.0.0.0'],
    ],
  }
  for (const [reach, addresses] of Object.entries(rows))
    for (const address of addresses) t.equal(reachOf(address), reach, address)
})
