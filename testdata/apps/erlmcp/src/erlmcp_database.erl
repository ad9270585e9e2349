%% @doc Whether the database can be reached. Without a host, by DATABASE_HOST or the application's env, there is none.
-module(erlmcp_database).
-behaviour(gen_server).

-export([start_link/0, status/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, handle_continue/2]).

-define(EVERY, 2000).
-define(CONNECT, 1000).

start_link() ->
    gen_server:start_link({via, erlmcp_registry, database}, ?MODULE, [], []).

%% @doc disabled, ok, or {error, Why}.
status() ->
    gen_server:call({via, erlmcp_registry, database}, status, ?CONNECT * 2).

init([]) ->
    case address(application:get_env(erlmcp, database, disabled), os:getenv("DATABASE_HOST", "")) of
        disabled -> {ok, {none, disabled}};
        Address -> {ok, {Address, {error, <<"not connected yet">>}}, {continue, connect}}
    end.

address(disabled, "") -> disabled;
address(disabled, Host) -> {Host, 5432};
address(Set, "") when is_map_key(host, Set) -> {maps:get(host, Set), maps:get(port, Set, 5432)};
address(_, "") -> disabled;
address(Set, Host) -> {Host, maps:get(port, Set, 5432)}.

handle_continue(connect, {{Host, Port}, _}) ->
    erlang:send_after(?EVERY, self(), connect),
    {noreply, {{Host, Port}, connect(Host, Port)}}.

connect(Host, Port) ->
    case gen_tcp:connect(Host, Port, [], ?CONNECT) of
        {ok, Socket} ->
            gen_tcp:close(Socket),
            ok;
        {error, Reason} ->
            {error, iolist_to_binary(io_lib:format("connection to ~s:~b: ~s", [Host, Port, inet:format_error(Reason)]))}
    end.

handle_call(status, _From, State = {_, Status}) ->
    {reply, Status, State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info(connect, State) ->
    {noreply, State, {continue, connect}};
handle_info(_, State) ->
    {noreply, State}.
