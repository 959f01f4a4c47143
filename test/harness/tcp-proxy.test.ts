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
