import t from 'tap'
import { grpcTarget, parseEndpointAddress } from '#identity/workload-api/address.ts'
import fc from '../../fast-check.ts'

t.test('the address of a Workload API is a Unix socket or an IP address and a port', async (t) => {
  const rows: [text: string, target: string][] = [
    ['unix:///run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:/run/spire/agent.sock', 'unix:/run/spire/agent.sock'],
    ['unix:///a%20b', 'unix:/a b'],
    ['unix:///a@b:c', 'unix:/a@b:c'],
    [`unix:///${'a'.repeat(106)}`, `unix:/${'a'.repeat(106)}`],
    ['tcp://1.2.3.4:5', '1.2.3.4:5'],
    ['tcp://127.0.0.1:65535', '127.0.0.1:65535'],
    ['tcp://[::1]:8081', '[::1]:8081'],
  ]
  for (const [text, target] of rows) {
    const parsed = parseEndpointAddress(text)
    t.equal(parsed.ok ? grpcTarget(parsed.address) : parsed.why, target, text)
  }
})

t.test('everything else is refused, and it is said why', async (t) => {
  const rows: [text: string, why: RegExp][] = [
    ['', /neither unix/],
    ['\t', /neither unix/],
    ['blah', /neither unix/],
    ['/run/agent.sock', /neither unix/],
    ['http://1.2.3.4:5', /neither unix/],
    ['UNIX:///a', /neither unix/],
    ['unix:opaque', /not an absolute path/],
    ['unix://', /before the path/],
    ['unix:///', /no path/],
    ['unix:', /not an absolute path/],
    ['unix:////a', /not an absolute path/],
    ['unix://foo', /before the path/],
    ['unix://john:doe@foo/path', /before the path/],
    ['unix:///a?whatever', /query/],
    ['unix:///a#whatever', /fragment/],
    ['unix:///a%', /encodes nothing/],
    ['unix:///a%00b', /control character/],
    ['unix:///a\nb', /control character/],
    [`unix:///${'a'.repeat(107)}`, /more than 107 bytes/],
    ['tcp:opaque', /no \/\//],
    ['tcp://', /IP address/],
    ['tcp://1.2.3.4', /IP address|port/],
    ['tcp://1.2.3.4:', /port/],
    ['tcp://1.2.3.4:0', /port/],
    ['tcp://1.2.3.4:05', /port/],
    ['tcp://1.2.3.4:65536', /port/],
    ['tcp://1.2.3.4:5?whatever', /query/],
    ['tcp://1.2.3.4:5#whatever', /fragment/],
    ['tcp://1.2.3.4:5/path', /path/],
    ['tcp://john:doe@1.2.3.4:5', /user/],
    ['tcp://foo:5', /IP address/],
    ['tcp://localhost:5', /IP address/],
    ['tcp://1.2.3:5', /IP address/],
    ['tcp://::1:5', /IP address/],
    ['tcp://[1.2.3.4]:5', /IP address/],
    ['tcp://[fe80::1%eth0]:5', /IP address/],
  ]
  for (const [text, why] of rows) {
    const parsed = parseEndpointAddress(text)
    t.match(parsed, { ok: false, why }, JSON.stringify(text))
  }
})

t.test('no text makes it throw', async () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      for (const before of ['', 'unix:', 'unix:///', 'tcp://']) parseEndpointAddress(before + text)
    }),
  )
})
