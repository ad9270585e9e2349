package model

// hashed is a file, and hashes what Compose 5.6.0 counts over its services.
const hashed = `services:
  web:
    image: web:1
    command: [serve, --port, "80"]
    environment: {A: "1", B: "<&>"}
    ports: ["127.0.0.1:8080:80", "53:53/udp"]
    healthcheck: {test: [CMD, ok], interval: 5s}
    deploy: {replicas: 2, resources: {limits: {memory: 64m, cpus: "0.5"}}}
    depends_on: [db]
    volumes: ["data:/data", {type: tmpfs, target: /x}]
    stop_grace_period: 10s
    cap_drop: [ALL]
    labels: {x: "y"}
  db:
    image: db:1
    networks: {default: {aliases: [sql]}}
    profiles: []
  aside:
    image: aside:1
    network_mode: service:web
    volumes_from: [web]
volumes: {data: {}}
`

var hashes = map[string]string{
	"aside": "429205cc982b5cb382828e76901292d07456a7bab7c74f751b643815f616aef8",
	"db":    "25b5835c3d29bc167e705b232680d2d9d84d9574cb11692ac257a14bffac552c",
	"web":   "e6e5c927e2f01b519c1b30a9239043c5873a9c3c553434f782a4866370e2535a",
}
