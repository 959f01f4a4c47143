import t from 'tap'
import { answersTo } from './against-opa.ts'
import { q } from './tokens.ts'

const config =
  '{"aws_service": "s3", "aws_access_key": "AK", "aws_secret_access_key": "SK", "aws_region": "eu-west-1"}'
const time = '1700000000123456789'
const signed = (request: string, more = config, at = time) =>
  `providers.aws.sign_req(${request}, ${more}, ${at})`
const get = '{"method": "get", "url": "https://b.example/a?b=c"}'
const configured = (more: string) => config.replace('}', `, ${more}}`)

const expressions = [
  signed(get),
  signed(get, config.replace('s3', 'ec2')),
  signed(get, config.replace('s3', 'glacier')),
  signed(get, configured('"aws_session_token": "T"')),
  signed(get, configured('"aws_session_token": ""')),
  signed(get, configured('"aws_session_token": 1')),
  signed(get, configured('"disable_payload_signing": true')),
  signed(get, configured('"disable_payload_signing": false')),
  signed(get, configured('"disable_payload_signing": "yes"')),
  signed(get, configured('"more": 1')),
  ...['aws_service', 'aws_access_key', 'aws_secret_access_key', 'aws_region'].flatMap((name) => [
    signed(get, config.replace(name, 'other')),
    signed(get, `object.union(${config}, {"${name}": 1})`),
    signed(get, `object.union(${config}, {"${name}": ""})`),
  ]),
  // Bodies
  ...[
    '"body": {"z": [1, {"b"}], "a": "<&>é"}',
    '"body": "text"',
    '"body": null',
    '"raw_body": "text"',
    '"raw_body": 1',
    '"raw_body": "text", "body": {}',
    // Headers
    '"headers": {}',
    '"headers": {"X-B": "2", "a": "1", "User-Agent": "u", "authorization": "old", "X-Amzn-Trace-Id": "t"}',
    '"headers": {"Host": "other", "X-Amz-Date": "never"}',
    '"headers": {"Authorization": "old", "n": 1, "l": ["a"]}',
    '"headers": []',
    '"headers": null',
    // Everything that http.send takes, and what it does not
    '"timeout": "5s", "raise_error": false, "tls_ca_cert": "x"',
    '"unknown": 1',
  ].map((more) => signed(get.replace('}', `, ${more}}`))),
  // Requests
  ...[
    '{}',
    '{"method": "get"}',
    '{"url": "https://a"}',
    '{"method": 1, "url": "https://a"}',
    '{"method": "get", "url": 1}',
    '{"method": "", "url": ""}',
  ].map((request) => signed(request)),
  ...[
    'https://b.example',
    'https://b.example:8443/',
    'https://u:p@b.example/a b/%2F/é?x=y z&é#f',
    'https://b.example/a%2fb/*',
    'https://b.example/%zz',
    'https://b.example/?',
    'mailto:a@b',
    '/only/a/path',
    ':',
    'https://[::1]:80/a',
  ].map((url) => signed(`{"method": "GET", "url": ${q(url)}}`)),
  // Times
  ...['0', '-1', '1e18', '1.5', '99999999999999999999', '253402300800000000000', '1700000000999999999'].map(
    (at) => signed(get, config, at),
  ),
  // Digests of what text can be
  ...['""', '"\\u0000"', '"é\\ud83d\\ude00"', `"${'x'.repeat(1000)}"`].flatMap((text) => [
    ...['md5', 'sha1', 'sha256'].map((name) => `crypto.${name}(${text})`),
    ...['md5', 'sha1', 'sha256', 'sha512'].flatMap((name) => [
      `crypto.hmac.${name}(${text}, "k")`,
      `crypto.hmac.${name}("m", ${text})`,
    ]),
    `crypto.hmac.equal(${text}, ${text})`,
    `crypto.hmac.equal(${text}, "other")`,
  ]),
]

t.test(`${expressions.length} requests are signed, and texts digested, as opa does`, async (t) => {
  for (const { expression, ours, theirs } of await answersTo(expressions)) t.equal(ours, theirs, expression)
})
