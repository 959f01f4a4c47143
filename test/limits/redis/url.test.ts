import t from 'tap'
import { parseRedisUrl } from '#limits/redis/url.ts'

t.test('an address is read as it is written', async (t) => {
  const cache = { kind: 'single', host: 'cache', port: 6379 }
  const rows: [url: string, address: object][] = [
    ['redis://cache', { place: cache, isTls: false }],
    ['redis://10.0.0.1:6380/', { place: { kind: 'single', host: '10.0.0.1', port: 6380 }, isTls: false }],
    ['redis://[::1]:1/3', { place: { kind: 'single', host: '::1', port: 1 }, db: 3, isTls: false }],
    ['redis://:p%40ss@cache/0', { place: cache, password: 'p@ss', db: 0, isTls: false }],
    ['rediss://u:p@cache', { place: cache, username: 'u', password: 'p', isTls: true }],
    ['redis://u@cache', { place: cache, username: 'u', isTls: false }],
    ['rediss://10.0.0.1', { place: { kind: 'single', host: '10.0.0.1', port: 6379 }, isTls: true }],
    ['unix:/run/valkey.sock', { place: { kind: 'unix', path: '/run/valkey.sock' }, isTls: false }],
    ['unix:///run/valkey.sock', { place: { kind: 'unix', path: '/run/valkey.sock' }, isTls: false }],
    [
      'redis+sentinel://u:p@a,b:1,[::1]/main/2',
      {
        place: {
          kind: 'sentinel',
          sentinels: [
            { host: 'a', port: 26_379 },
            { host: 'b', port: 1 },
            { host: '::1', port: 26_379 },
          ],
          name: 'main',
        },
        username: 'u',
        password: 'p',
        db: 2,
        isTls: false,
      },
    ],
    [
      'rediss+cluster://a:1,b',
      {
        place: {
          kind: 'cluster',
          seeds: [
            { host: 'a', port: 1 },
            { host: 'b', port: 6379 },
          ],
        },
        isTls: true,
      },
    ],
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
    'redis://cache/123456',
    'redis://cache:0',
    'redis://cache:65536',
    'redis://cache:x',
    'redis://a b',
    'redis://a,b',
    'redis://cache?db=1',
    'redis://cache#1',
    'redis://u:SECRET%zz@cache',
    'redis://u:SECRET@cache/x',
    'redis://u:SECRET@x@cache',
    'redis+sentinel://a',
    'redis+sentinel://a/',
    'redis+sentinel://a,/main',
    'redis+sentinel://a/ma%20in',
    'redis+cluster://a/1',
    'redis+cluster://a,,b',
    `redis+cluster://${Array.from({ length: 33 }, (_, i) => `h${i}`).join(',')}`,
    'redis+other://a',
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
