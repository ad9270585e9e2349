%% @doc The network: a listener, those who accept, and a process for each connection.
-module(erlmcp_http_sup).
-behaviour(supervisor).

-export([start_link/0, start_connections/0, start_acceptors/0, init/1]).

-define(ACCEPTORS, 4).

start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, tree).

start_connections() ->
    supervisor:start_link({via, erlmcp_registry, connections}, ?MODULE, connections).

start_acceptors() ->
    supervisor:start_link(?MODULE, acceptors).

init(tree) ->
    {ok, {#{strategy => rest_for_one, intensity => 5, period => 10}, [
        #{id => connections, start => {?MODULE, start_connections, []}, type => supervisor},
        #{id => listener, start => {erlmcp_listener, start_link, []}},
        #{id => acceptors, start => {?MODULE, start_acceptors, []}, type => supervisor}
    ]}};
init(connections) ->
    {ok, {#{strategy => simple_one_for_one}, [
        #{id => connection, start => {erlmcp_connection, start_link, []}, restart => temporary, shutdown => brutal_kill}
    ]}};
init(acceptors) ->
    {ok, {#{strategy => one_for_one, intensity => 20, period => 10}, [
        #{id => N, start => {erlmcp_acceptor, start_link, [erlmcp_listener:socket()]}, shutdown => brutal_kill}
        || N <- lists:seq(1, ?ACCEPTORS)
    ]}}.
