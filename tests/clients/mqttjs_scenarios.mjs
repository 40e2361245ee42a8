// The core scenarios with MQTT.js over TLS or WebSocket. Prints `ok NAME` or `not ok NAME: WHY` for each.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.env.TEST_NODE_MODULES}/`)
const mqtt = require('mqtt')

// The harness writes where the broker is to standard input, as one line of JSON.
const site = JSON.parse(readFileSync(0, 'utf8'))
const authority = readFileSync(site.ca)
const isSecure = ['mqtts', 'wss'].includes(site.scheme)
const path = site.scheme.startsWith('ws') ? '/mqtt' : ''
const PATIENCE = 10_000

const VERSIONS = {
  '3.1': { protocolId: 'MQIsdp', protocolVersion: 3 },
  '3.1.1': { protocolVersion: 4 },
  '5.0': { protocolVersion: 5 },
}

// ── a client whose events are queues ─────────────────────────────────────────────────────────────

function within(promise, what) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

class Queue {
  #items = []
  #waiting = []

  put(item) {
    const next = this.#waiting.shift()
    next ? next(item) : this.#items.push(item)
  }

  take(what) {
    if (this.#items.length > 0) return Promise.resolve(this.#items.shift())
    return within(new Promise((resolve) => this.#waiting.push(resolve)), what)
  }
}

const open = new Set()

class Peer {
  messages = new Queue()
  disconnects = new Queue()

  static async connect(clientId, options = {}) {
    const { user = 'admin', password = site.users[user], ...rest } = options
    const peer = new Peer()
    peer.client = mqtt.connect(`${site.scheme}://${site.host}:${site.port}${path}`, {
      clientId,
      username: user,
      password,
      ca: authority,
      reconnectPeriod: 0,
      protocolVersion: 5,
      ...rest,
    })
    open.add(peer.client)
    peer.client.on('message', (topic, payload, packet) => peer.messages.put(packet))
    peer.client.on('disconnect', (packet) => peer.disconnects.put(packet))
    const connected = new Promise((resolve, reject) => {
      peer.client.once('connect', resolve)
      peer.client.once('error', reject)
    })
    peer.connack = await within(connected, 'CONNACK')
    peer.client.on('error', () => {})
    return peer
  }

  subscribe(filter, options) {
    return within(this.client.subscribeAsync(filter, options), 'SUBACK')
  }

  publish(topic, payload, options) {
    return within(this.client.publishAsync(topic, payload, options), 'an acknowledgement')
  }

  message() {
    return this.messages.take('a message')
  }

  async payload() {
    return (await this.message()).payload.toString()
  }

  disconnect() {
    open.delete(this.client)
    return within(this.client.endAsync(), 'the end')
  }

  // Ends the connection without DISCONNECT.
  sever() {
    open.delete(this.client)
    this.client.stream.destroy()
  }
}

async function refused(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('accepted')
}

// ── scenarios ────────────────────────────────────────────────────────────────────────────────────

const scenarios = {
  async 'every version delivers every QoS'() {
    for (const [name, version] of Object.entries(VERSIONS)) {
      const peer = await Peer.connect(`js-${name}`, version)
      await peer.subscribe(`js/${name}`, { qos: 2 })
      for (const qos of [0, 1, 2]) {
        await peer.publish(`js/${name}`, `${name} ${qos}`, { qos })
        const message = await peer.message()
        assert.deepEqual([message.payload.toString(), message.qos], [`${name} ${qos}`, qos])
      }
      await peer.disconnect()
    }
  },

  async 'a large message arrives whole'() {
    const peer = await Peer.connect('large')
    await peer.subscribe('large', { qos: 1 })
    const payload = Buffer.alloc(512_000, 'large')
    await peer.publish('large', payload, { qos: 1 })
    assert.ok((await peer.message()).payload.equals(payload))
    await peer.disconnect()
  },

  async 'a retained message reaches who subscribes later'() {
    const publisher = await Peer.connect('retainer')
    await publisher.publish('retained/js', 'kept', { qos: 1, retain: true })
    const late = await Peer.connect('late', VERSIONS['3.1.1'])
    await late.subscribe('retained/js')
    const message = await late.message()
    assert.deepEqual([message.payload.toString(), message.retain], ['kept', true])
    await publisher.publish('retained/js', '', { qos: 1, retain: true })
    await publisher.disconnect()
    await late.disconnect()
  },

  async 'a will is published when the connection breaks'() {
    const witness = await Peer.connect('witness')
    await witness.subscribe('wills/js', { qos: 1 })
    for (const [name, version] of Object.entries(VERSIONS)) {
      const will = { topic: 'wills/js', payload: Buffer.from(name), qos: 1 }
      const mortal = await Peer.connect(`mortal-${name}`, { ...version, will })
      mortal.sever()
      assert.equal(await witness.payload(), name)
    }
    await witness.disconnect()
  },

  async 'a session keeps messages while its client is away'() {
    const kept = { properties: { sessionExpiryInterval: 3_600 } }
    const before = await Peer.connect('away', { clean: true, ...kept })
    await before.subscribe('away', { qos: 2 })
    await before.disconnect()
    const publisher = await Peer.connect('home')
    for (const qos of [1, 2]) await publisher.publish('away', `${qos}`, { qos })
    const after = await Peer.connect('away', { clean: false, ...kept })
    assert.equal(after.connack.sessionPresent, true)
    assert.deepEqual([await after.payload(), await after.payload()], ['1', '2'])
    await after.disconnect()
    await publisher.disconnect()
  },

  async 'a take-over is told to the first client'() {
    const first = await Peer.connect('twice')
    const second = await Peer.connect('twice')
    assert.equal((await first.disconnects.take('DISCONNECT')).reasonCode, 0x8e)
    await second.subscribe('twice')
    await second.publish('twice', 'second', { qos: 1 })
    assert.equal(await second.payload(), 'second')
    await second.disconnect()
  },

  async 'a wrong password and an unknown user are refused'() {
    for (const user of ['admin', 'nobody']) {
      const error = await refused(Peer.connect('guest', { user, password: 'wrong' }))
      assert.equal(error.code, 0x86)
      for (const name of ['3.1', '3.1.1']) {
        const options = { user, password: 'wrong', ...VERSIONS[name] }
        const old = await refused(Peer.connect('guest', options))
        assert.ok([4, 5].includes(old.code), `${name}: ${old}`)
      }
    }
  },

  async 'an unknown authority is refused by the client'() {
    if (!isSecure) return
    const error = await refused(Peer.connect('sceptic', { ca: undefined }))
    assert.match(`${error.code}`, /SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/)
  },

  async 'a device is kept to its topics'() {
    const admin = await Peer.connect('admin')
    await admin.subscribe('#', { qos: 1 })
    const device = await Peer.connect('device1', { user: 'device1' })
    const unheard = await refused(device.subscribe('devices/device2/#'))
    assert.match(`${unheard}`, /not authorized/i)
    const unsaid = await refused(device.publish('devices/device2/x', 'forged', { qos: 1 }))
    assert.equal(unsaid.code, 0x87)
    await device.publish('devices/device1/x', 'true', { qos: 1 })
    assert.equal(await admin.payload(), 'true')
    await device.disconnect()
    await admin.disconnect()
  },

  async 'properties travel with a message'() {
    const peer = await Peer.connect('properties')
    await peer.subscribe('properties', { qos: 1 })
    const properties = {
      payloadFormatIndicator: true,
      responseTopic: 'answers/here',
      correlationData: Buffer.from([0, 255, 42]),
      contentType: 'text/plain',
      userProperties: { a: '1', b: ['2', '3'] },
    }
    await peer.publish('properties', '?', { qos: 1, properties })
    const received = (await peer.message()).properties
    for (const name of ['responseTopic', 'contentType', 'correlationData', 'payloadFormatIndicator']) {
      assert.deepEqual(received[name], properties[name], name)
    }
    assert.deepEqual({ ...received.userProperties }, properties.userProperties)
    await peer.disconnect()
  },

  async 'options of a subscription are kept'() {
    const peer = await Peer.connect('options')
    await peer.subscribe('room', { qos: 1, nl: true })
    await peer.subscribe('fence', { qos: 1, properties: { subscriptionIdentifier: 42 } })
    await peer.publish('room', 'own', { qos: 1 })
    await peer.publish('fence', 'fence', { qos: 1 })
    const message = await peer.message()
    assert.equal(message.payload.toString(), 'fence')
    assert.equal(message.properties.subscriptionIdentifier, 42)
    await peer.disconnect()
  },

  async 'topic aliases are understood in both directions'() {
    const aliases = { autoUseTopicAlias: true, autoAssignTopicAlias: true }
    const peer = await Peer.connect('aliases', {
      ...aliases,
      properties: { topicAliasMaximum: 10 },
    })
    await peer.subscribe('a/rather/long/topic', { qos: 1 })
    for (let number = 0; number < 20; number += 1) {
      await peer.publish('a/rather/long/topic', `${number}`, { qos: 1 })
      assert.equal(await peer.payload(), `${number}`)
    }
    await peer.disconnect()
  },
}

let failed = 0
for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    await scenario()
    console.log(`ok ${name}`)
  } catch (error) {
    failed += 1
    console.log(`not ok ${name}: ${error.stack}`)
  }
  // What a failed scenario left behind.
  for (const client of open) client.end(true)
  open.clear()
}
process.exitCode = failed > 0 ? 1 : 0
