import t from 'tap'
import { parseRedisUrl } from '#limits/redis/url.ts'

t.test('an address is read as it is written', async (t) => {
  const rows: [url: string, address: object][] = [
    ['redis://cache', { host: 'cache', port: 6379 }],
    ['redis://10.0.0.1:6380/', { host: '10.0.0.1', port: 6380 }],
    ['redis://[::1]:1/3', { host: '::1', port: 1, db: 3 }],
    ['redis://:p%40ss@cache/0', { host: 'cache', port: 6379, password: 'p@ss', db: 0 }],
    [
      'rediss://u:p@cache',
      {
        host: 'cache',
        port: 6379,
        username: 'u',
        password: 'p',
        tls: { servername: 'cache', minVersion: 'TLSv1.2' },
      },
    ],
    ['rediss://10.0.0.1', { host: '10.0.0.1', port: 6379, tls: { minVersion: 'TLSv1.2' } }],
    ['unix:/run/valkey.sock', { path: '/run/valkey.sock' }],
    ['unix:///run/valkey.sock', { path: '/run/valkey.sock' }],
  ]
  for (const [url, address] of rows) t.strictSame(parseRedisUrl(url), address, url)
})

t.test('what is no address is refused, without its password', async (t) => {
  const wrong = [
    '',
    'cache:6379',
    'http://cache',
    'redis://',
    'redis:///0',
    'redis://cache/a',
    'redis://cache/1/2',
    'redis://cache?db=1',
    'redis://cache#1',
    'redis://u:SECRET%zz@cache',
    'redis://u:SECRET@cache/x',
    'unix:run/valkey.sock',
    'unix:/run/valkey.sock?db=1',
  ]
  for (const url of wrong) {
    try {
      parseRedisUrl(url)
      t.fail(url)
    } catch (thrown) {
      t.match(thrown, { code: 'redis_url_invalid' }, url)
      t.notMatch(String(thrown), /SECRET/)
    }
  }
})
