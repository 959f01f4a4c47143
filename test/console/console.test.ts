import { statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { SluiceError } from '#base/errors.ts'
import { askConsole } from '#console/client.ts'
import { type ConsoleRoute, openConsole } from '#console/console.ts'
import { http } from '../harness/http.ts'
import { temporaryFolder } from '../harness/temp.ts'

const routes: readonly ConsoleRoute[] = [
  { method: 'GET', path: '/echo', handle: (query) => ({ said: query.getAll('word') }) },
  { method: 'POST', path: '/late', handle: async () => 'done' },
  {
    method: 'GET',
    path: '/wrong',
    handle: () => {
      throw new SluiceError({ code: 'x', place: 'word', found: 'nothing', expected: 'a word' })
    },
  },
]

async function opened(t: Pick<typeof import('tap').default, 'teardown'>) {
  const folder = temporaryFolder()
  const socket = `unix:${join(folder.path, 'admin.sock')}`
  const console = await openConsole({ socket, routes })
  t.teardown(async () => {
    await console[Symbol.asyncDispose]()
    folder[Symbol.dispose]()
  })
  const ask = (method: 'GET' | 'POST', path: string, query = '') =>
    askConsole({ socket, method, path, query: new URLSearchParams(query) })
  return { ask, socket, path: socket.slice(5) }
}

t.test('a route answers with JSON, at once or later', async (t) => {
  const { ask } = await opened(t)
  t.same(await ask('GET', '/echo', 'word=a&word=%26b'), { said: ['a', '&b'] })
  t.equal(await ask('POST', '/late'), 'done')
})

t.test('a query goes to its end, whatever it holds', async (t) => {
  const { path } = await opened(t)
  const { body } = await http({ socketPath: path, path: '/echo?word=a?b' })
  t.same(JSON.parse(body), { said: ['a?b'] })
})

t.test('what is asked wrongly is said in words', async (t) => {
  const { ask } = await opened(t)
  await t.rejects(ask('GET', '/wrong'), /word: found nothing|word.*nothing.*a word/s)
  await t.rejects(ask('GET', '/nothing'), /no such route/)
  await t.rejects(ask('GET', '/late'), /another method/, 'what changes something is not read by accident')
  await t.rejects(ask('GET', `/${'x'.repeat(9000)}`), /too long/)
})

t.test('only the owner may open the socket', async (t) => {
  const { path } = await opened(t)
  t.equal(statSync(path).mode & 0o777, 0o600)
})

t.test('a socket that somebody listens on is left alone, one that a dead process left is not', async (t) => {
  const { socket } = await opened(t)
  await t.rejects(openConsole({ socket, routes }), /listen.admin/)
})

t.test('where nobody listens the asker is told so, and an answer that is no JSON is none', async (t) => {
  const folder = temporaryFolder()
  const path = join(folder.path, 'other.sock')
  const ask = () =>
    askConsole({ socket: `unix:${path}`, method: 'GET', path: '/echo', query: new URLSearchParams() })
  await t.rejects(ask(), /an agent that listens there/)
  const server = createServer((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno'))
  await new Promise<void>((resolve) => server.listen(path, resolve))
  t.teardown(() => {
    server.close()
    folder[Symbol.dispose]()
  })
  await t.rejects(ask(), /no JSON/)
})
