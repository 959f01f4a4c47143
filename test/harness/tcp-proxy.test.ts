import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import t from 'tap'
import { startTcpProxy } from './tcp-proxy.ts'
import { eventually } from './temp.ts'

t.test('what goes through a bad network stays in order, whatever changes meanwhile', async (t) => {
  const server = createServer((socket) => socket.pipe(socket))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  await using proxy = await startTcpProxy((server.address() as AddressInfo).port)
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
  const server = createServer((socket) => {
    ended.push(once(socket, 'close'))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  await using proxy = await startTcpProxy((server.address() as AddressInfo).port)
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
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', (chunk) => {
        asked.push(String(chunk))
        socket.write('an answer')
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    await using proxy = await startTcpProxy((server.address() as AddressInfo).port)
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

t.test('what was sent into a late network arrives although its sender is gone', async (t) => {
  const asked: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => asked.push(String(chunk)))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  await using proxy = await startTcpProxy((server.address() as AddressInfo).port)
  const send = async (text: string) => {
    const client = connect(proxy.port, '127.0.0.1')
    client.on('error', () => {})
    await once(client, 'connect')
    await new Promise((resolve) => client.write(text, resolve))
    client.end()
    return client
  }
  proxy.isLate = true
  proxy.isParted = true
  const gone = await send('of one that is gone')
  await eventually('it is gone', () => gone.destroyed)
  t.same(asked, [])
  proxy.isParted = false
  await eventually('it has arrived', () => asked.length === 1)
  t.same(asked, ['of one that is gone'])
})
