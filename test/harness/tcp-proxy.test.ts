import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t from 'tap'
import { startTcpProxy } from './tcp-proxy.ts'
import { eventually } from './temp.ts'

t.test('what goes through a bad network stays in order, whatever changes meanwhile', async (t) => {
  await using proxy = await proxyOf(t, (socket) => socket.pipe(socket))
  const client = connect(proxy.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  let got = ''
  client.on('data', (chunk) => {
    got += String(chunk)
  })
  await once(client, 'connect')
  const turn = () => new Promise((resolve) => setImmediate(resolve))
  let sent = ''
  for (const [index, delayMs] of [0, 30, 0, 5, 60, 0, 1].entries()) {
    proxy.delayMs = delayMs
    if (index === 3) proxy.isParted = true
    if (index === 5) proxy.isParted = false
    client.write(`${index};`)
    sent += `${index};`
    await turn()
    await turn()
  }
  await eventually('everything has come back', () => got.length >= sent.length)
  t.equal(got, sent)
})

t.test('what is cut is told to both ends', async (t) => {
  const ended: Promise<unknown>[] = []
  await using proxy = await proxyOf(t, (socket) => {
    ended.push(once(socket, 'close'))
    socket.on('error', () => {})
  })
  const client = connect(proxy.port, '127.0.0.1')
  client.on('error', () => {})
  await once(client, 'connect')
  await eventually('the server has it too', () => ended.length === 1)
  const closed = once(client, 'close')
  proxy.cut()
  await Promise.all([closed, ...ended])
  t.ok(client.destroyed)
})

t.test(
  'what is answered to a mute network is lost with the connection; what was asked has arrived',
  async (t) => {
    const asked: string[] = []
    await using proxy = await proxyOf(t, (socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        asked.push(String(chunk))
        socket.write('an answer')
      })
    })
    const client = connect(proxy.port, '127.0.0.1')
    client.on('error', () => {})
    client.on('data', () => t.fail('an answer came'))
    await once(client, 'connect')
    proxy.isMute = true
    client.write('a question')
    await eventually('it has arrived', () => asked.length === 1)
    const closed = once(client, 'close')
    proxy.cut()
    await closed
    t.same(asked, ['a question'])
  },
)

t.test(
  'what was held back arrives although its sender is gone, and behind what was sent later',
  async (t) => {
    const asked: string[] = []
    await using proxy = await proxyOf(t, (socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk) => asked.push(String(chunk)))
    })
    const open = async () => {
      const client = connect(proxy.port, '127.0.0.1')
      client.on('error', () => {})
      await once(client, 'connect')
      return client
    }
    const gone = await open()
    gone.write('hello')
    await eventually('it has arrived', () => asked.length === 1)
    const held = proxy.hold()
    gone.write('of one that is gone')
    const isGone = once(gone, 'close')
    gone.end()
    await isGone
    const later = await open()
    later.write('later')
    await eventually('what is new gets through', () => asked.length === 2)
    held.letGo()
    await eventually('the rest arrives', () => asked.length === 3)
    t.same(asked, ['hello', 'later', 'of one that is gone'])
    later.destroy()
  },
)

/** A bad network before a server that does this with each connection. */
async function proxyOf(t: Pick<typeof import('tap').default, 'teardown'>, accept: (socket: Socket) => void) {
  const server = createServer(accept)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return await startTcpProxy((server.address() as AddressInfo).port)
}
