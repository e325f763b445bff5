"""Logstash's TCP input: keeps the lines that come. python line_server.py ADDRESS PORT FILE"""
import socketserver
import sys


class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            with open(sys.argv[3], "ab") as file:
                file.write(line)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


Server((sys.argv[1], int(sys.argv[2])), Lines).serve_forever()
